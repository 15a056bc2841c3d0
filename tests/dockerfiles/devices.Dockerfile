FROM debian
RUN --device=vendor.com/gpu=0 nvidia-smi
RUN --device=vendor.com/gpu=all,required true
RUN --device=name=vendor.com/net=nic,required=false true
