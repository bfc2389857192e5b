"""`python -m fault_agent`: the same as the command `fault-agent`."""

import sys

from fault_agent.main import main

sys.exit(main())
