"""The client side of the Certificate Management Protocol: RFC 9810, profiled by RFC 9483, over HTTP as in RFC 9811.

Knows neither the kiosk nor any one CA. `CmpClient` is the way in; the CA that ships with the kiosk shares the messages
and their protection, so that both sides read the same bytes the same way.
"""
