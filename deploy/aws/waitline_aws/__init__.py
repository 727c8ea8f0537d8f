"""AWS infrastructure of Waitline, as CDK stacks.

* `installation`: what the operator gives, and the stacks in their order
* `sizes`, `costs`: the two sizes, and their costs from `prices.json`
* `foundation`: network, keys, image repositories
* `stores`: Valkey, PostgreSQL, their secrets and back-ups
* `containers`: the containers of a task
* `programs`: settings and secrets of each service
* `lanes`: shares of the visitors, which are upgraded in turn; the alarms that roll a lane back
* `fargate`: the cluster, the load balancer, the services and their scaling
* `front`: certificate, firewall, CDN, DNS
* `watch`: alarms and the dashboard
* `findings`: findings of scanners that are accepted, each with its reason
"""
