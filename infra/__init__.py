"""AWS CDK app that deploys shopkpi: one construct per capability."""
