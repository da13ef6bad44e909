"""The same template on one machine: MiniStack, a local SageMaker, deploy, customer, demo. Loopback only."""
