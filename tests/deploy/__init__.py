"""What the chart, the manifests and the images promise, without a cluster."""
