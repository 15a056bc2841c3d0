FROM python:3
RUN <<EOF
#!/usr/bin/env python3
import sys
print("built with", sys.version)
EOF
