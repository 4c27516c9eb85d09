# Two images from one file: `web` (pages, API, light worker, clock; no torch) and `worker` (what trains and generates).
#   docker build --target web -t plumbline-web .
#   docker build --target worker -t plumbline-worker .

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1
WORKDIR /app
RUN groupadd --gid 1000 plumbline \
 && useradd --uid 1000 --gid plumbline --home-dir /home/plumbline --create-home plumbline \
 && install --directory --owner plumbline --group plumbline /data
ENV PLUMBLINE_DATA=/data HF_HOME=/data/huggingface PATH=/app/.venv/bin:$PATH
COPY pyproject.toml constraints.txt ./
COPY config/install.py config/
RUN python config/install.py --groups ""

FROM base AS web
COPY . .
# Compiles the translations; the packages are there already.
RUN python config/install.py --groups ""
# The secret only lets the settings load: nothing is signed with it, and it is not kept in the image.
RUN SECRET_KEY=unused DATABASE_URL=postgresql://unused/unused STATIC_ROOT=/app/static_collected \
    python manage.py collectstatic --no-input --verbosity 0
ENV STATIC_ROOT=/app/static_collected
ENV PROMETHEUS_MULTIPROC_DIR=/tmp/metrics
USER plumbline
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
    CMD ["python", "-m", "config.healthcheck"]
CMD ["gunicorn", "config.wsgi:application", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", \
     "--workers", "2", "--threads", "8", "--timeout", "120", "--graceful-timeout", "20", "--no-control-socket"]

FROM base AS worker
RUN python config/install.py --groups train
COPY . .
RUN python config/install.py --groups train
USER plumbline
VOLUME /data
HEALTHCHECK --interval=60s --timeout=30s --start-period=30s --retries=4 \
    CMD ["sh", "-c", "celery -A config inspect ping --destination \"$WORKER_NAME@$HOSTNAME\""]
ENV WORKER_NAME=training
CMD ["celery", "-A", "config", "worker", "--queues", "training", "--hostname", "training@%h", "--pool", "threads", \
     "--concurrency", "1", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]
