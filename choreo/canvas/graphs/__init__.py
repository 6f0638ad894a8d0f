"""Pictures of a choreography: the saga canvas as a table, Mermaid, Graphviz, JSON. Pure; no I/O here.

Each takes a saga's graph and gives text.
"""

from choreo.canvas.graphs.dot import dot
from choreo.canvas.graphs.edges import Edge, edges
from choreo.canvas.graphs.listing import as_json
from choreo.canvas.graphs.mermaid import mermaid
from choreo.canvas.graphs.table import Row, rows, table

__all__ = ["Edge", "Row", "as_json", "dot", "edges", "mermaid", "rows", "table"]
