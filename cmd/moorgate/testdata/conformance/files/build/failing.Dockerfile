FROM busybox
LABEL build=conformance
RUN echo about to fail; exit 3
