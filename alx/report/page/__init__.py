"""The report: one page for a compliance officer, and the same content as JSON.

`content.py` is what stands in it, `clusters/` and `story.py` fill it from what `alx.evidence` found, `plots.py` and
`drawing.py` make its plots, `html.py` writes it. Whoever has more to tell adds a `Part` to a cluster.
"""
