"""One module a benchmark; `fast3r.evaluation.catalog` lists them."""
