"""The words of the domain: values and ports. No input or output is done here."""
