from busybox
run echo x > /x
cmd ["sh"]
