"""`dfa-app`: a local page in the browser, from filming oneself to talking videos."""
