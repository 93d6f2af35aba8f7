"""The report's sections: each is a function of the evidence to HTML."""
