ip -n pod route del default
ip -n pod -6 route del default
