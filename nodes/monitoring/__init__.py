"""Monitoring: metrics and health of a cluster for those who watch it from outside.

Imports wire and what is below it; imported by cluster and the commands. The files beside it are
for Grafana (`grafana-dashboard.json`) and Prometheus (`alert-rules.yml`).
"""
