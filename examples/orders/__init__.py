"""Order fulfilment: five services, one saga, nobody in charge.

orders         OrderCreated       ............  fail_order            OrderFailed
inventory      reserve_inventory  InventoryReserved   release_reservation   ReservationReleased
payments       process_payment    PaymentProcessed    refund_payment        PaymentRefunded
shipping       create_shipment    ShipmentCreated     cancel_shipment       ShipmentCancelled
notifications  send_confirmation  OrderFulfilled      (retriable: it can't fail)
"""
