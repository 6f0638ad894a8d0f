"""The examples, tested as a user would test them."""
