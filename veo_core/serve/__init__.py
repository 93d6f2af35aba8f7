"""The generator behind HTTP: the contract of Vertex's and KServe's containers, and a page to try prompts."""
