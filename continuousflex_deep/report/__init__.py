"""Results as one HTML file for any browser, which needs nothing else and no network."""
