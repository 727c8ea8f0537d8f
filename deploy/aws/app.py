"""Entry point of `cdk`."""

from aws_cdk import App
from waitline_aws.installation import build

app = App()
build(app)
app.synth()
