"""Where footage comes from, and how it comes in: folders, buckets, lists of URLs, Pexels, the world."""
