"""Order fulfilment: five services, one saga, nobody in charge.

orders         OrderCreated       ............  fail_order            OrderFailed
inventory      reserve_inventory  InventoryReserved   release_reservation   ReservationReleased
payments       process_payment    PaymentProcessed    refund_payment        PaymentRefunded
shipping       create_shipment    ShipmentCreated     cancel_shipment       ShipmentCancelled
notifications  send_confirmation  OrderFulfilled      (retriable: it can't fail)

No compensation says what calls it, as that follows from the steps above, but for `fail_order`: it reads
the reason in the event that calls it, and so names that event. A participant in a process of its own
finds what calls its compensations in `choreography.json`, which ``choreo verify --lock`` writes.
"""
