"""One trial: `trial` joins the pieces, `inputs` gives what it trains on, `fitting` trains, `scoring` measures."""
