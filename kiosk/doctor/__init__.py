"""`kiosk doctor`: looks at everything a kiosk needs, and says of each what to do where it is not as it should be.

`findings` is what can be said, `site` what is looked at; each file with checks ends with them as data, and
`examination` has them all.
"""
