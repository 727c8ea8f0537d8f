"""Dashboards as code: Grafana's JSON and Prometheus' rules, written by `make dashboards`.

model.py      panels, dashboards and alerts
sale.py       dashboards of a sale: overview, waiting room, circulation, box office
machinery.py  dashboards of what it runs on: Valkey, PostgreSQL, processes
alerts.py     the alerts
write.py      writes deploy/grafana/*.json and deploy/prometheus/waitline.rules.yml
"""
