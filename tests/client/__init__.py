"""What a web process uses: transactions, and where a saga stands."""
