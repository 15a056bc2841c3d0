FROM python:3.13-slim
ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1
WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt
COPY . .
HEALTHCHECK --interval=30s --timeout=3s --retries=3 CMD python -c "import sys; sys.exit(0)"
CMD ["gunicorn", "-b", "0.0.0.0:8000", "app:app"]
