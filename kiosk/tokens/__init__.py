"""PKCS#11 in a process of its own: who is plugged in, PIN, keys, certificates.

`process` is the UI's side of the pipe, `worker` the other one; `cryptoki` is all that it asks of a module.
`token` is what everybody else uses.
"""
