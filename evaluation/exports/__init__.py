"""Evaluations as files for people: XLSX and CSV with Chinese headings, ids to drill down, small cells suppressed in public."""
