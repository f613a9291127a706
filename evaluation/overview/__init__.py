"""The evaluator's first page: headline figures, weeks, hours of the week and institutions, as they stand now."""
