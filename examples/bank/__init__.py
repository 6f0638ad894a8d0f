"""A bank transfer: two banks and a ledger, with a point of no return. Amounts are in cents.

source       TransferRequested       ......................  fail_transfer  TransferFailed
source       debit_source            SourceDebited           credit_back    SourceCreditedBack
ledger       create_transfer_record  TransferRecorded        void_transfer  TransferVoided
destination  credit_destination      DestinationCredited     debit_back     DestinationDebitedBack
ledger       settle                  TransferSettled         (the pivot: may fail, is never undone)
ledger       notify_parties          TransferDone            (retriable: it can't fail)
"""
