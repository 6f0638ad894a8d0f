"""What the graph of a saga shows without a run: order, calls of compensations, schemas."""
