"""`tigrillo demo`: the whole way of a frame on one machine, with real parts and made-up footage."""
