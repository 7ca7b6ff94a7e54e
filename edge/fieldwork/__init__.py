"""What biologists keep beside the frames: deployments and their effort, clocks put right, light."""
