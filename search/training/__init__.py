"""One trial: `trial` puts its pieces together, `inputs` gives what it trains on, `fitting` trains, `scoring` measures."""
