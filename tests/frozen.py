"""To be imported last: what has been imported by then stays for good.

No collection in a process that is forked off looks at it, or copies it by looking.
"""

import gc

gc.collect()
gc.freeze()
