"""What people see: tables, plots, the decision, claims, the page, and the formats of other tools."""
