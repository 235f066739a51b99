"""The cloud that shopkpi runs in: an AWS CDK app, one construct per capability."""
