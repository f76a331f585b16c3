"""A smart card made of Python, in a reader that is vsmartcard's, so that a real pcscd and OpenSC can be tested with it.

It speaks the dialect of IsoApplet, for which OpenSC has a driver that makes keys: `apdu` is what goes over the wire
(ISO 7816-4 §5), `files` its file system (§7), `pins` what it counts, `keys` what it signs with, `card` all of it
together, `reader` the slot it is put into and pulled from, and `prepared` how it comes by its PKCS#15 structure.
"""
