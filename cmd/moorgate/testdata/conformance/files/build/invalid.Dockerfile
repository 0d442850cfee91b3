FROM busybox
NONSENSE here
