"""The page on which images are dropped, and its API: `python -m predict.serve`.

offered     which models of the store predict here, and a short card of each
asking      one thread that loads the models and asks them
loaded      a model that is ready to be asked
pictures    an image and its heat map as a browser shows them
limits      how much is taken at once
heads       how many pixels a file says it has
uploads     a request's files, in memory alone, within limits
connections those that do nothing are closed
guards      who may ask, and what a browser may do with an answer
answering   from a form to a question, and from its reply to an answer
answers     what the API says, as OpenAPI documents it
site        the page's files
app         the addresses
page.html.j2, page.css.j2, page.js      the page itself; nothing of it comes from elsewhere
"""
