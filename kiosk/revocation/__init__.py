"""Whether a customer's certificate has been revoked: asked by OCSP, or looked up in a CRL, whoever the CA is.

It knows certificates and how HTTP is spoken to a CA, and neither tokens nor screens.
"""
