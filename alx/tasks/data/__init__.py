"""A site's own data: which reader reads it, one module a format. Nothing read here leaves the site."""
