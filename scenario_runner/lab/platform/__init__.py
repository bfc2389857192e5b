"""
The platform stand-in: finds GPU faults in the kernel log and heals nodes the way NVSentinel does.

It writes the objects that NVSentinel writes (condition, labels, annotations, remediation objects) in the same order.
Left out: faults without an XID ("fallen off the bus" lines), NVSwitch errors, NVLink5 sub-codes, everything that NVML
or DCGM would report, and the rules that escalate repeated faults.
"""
