"""E-mails to the holders whose certificates will end soon (「有効期限切れ30日前と10日前に…通知します」).

They stand on the ledger of the CA (extra `kiosk[ca]`), and need none of its keys.
"""
