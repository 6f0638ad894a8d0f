"""Order fulfilment: five services, one saga, no orchestrator.

orders         place_order        OrderCreated        fail_order           OrderFailed
inventory      reserve_inventory  InventoryReserved   release_reservation  ReservationReleased
payments       process_payment    PaymentProcessed    refund_payment       PaymentRefunded
shipping       create_shipment    ShipmentCreated     cancel_shipment      ShipmentCancelled
notifications  send_confirmation  OrderFulfilled      (retriable: it can't fail)

The rollback is derived from these steps: it goes up the right-hand columns, from the step that failed. So no
compensation names the event that calls it, except `fail_order`, which reads the reason in that event. A
participant in a process of its own reads the derived triggers from `choreography.json`, which
``choreo verify --lock`` writes.
"""
