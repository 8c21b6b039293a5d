"""The page on which images are dropped, and its API: `python -m predict.serve`.

offered     which models of the store predict here, and a short card of each
asking      one thread that loads the models and asks them
pictures    an image and its heat map as a browser shows them
uploads     a request's files, in memory alone, within limits
guards      who may ask, and what a browser may do with an answer
answers     what the API says, as OpenAPI documents it
app         the addresses
page.html.j2, page.css.j2, page.js      the page itself; nothing of it comes from elsewhere
"""
