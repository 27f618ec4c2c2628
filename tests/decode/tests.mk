$(B)/tests/decode/test-decode $(B)/tests/fuzz/fuzz-decode: \
	$(B)/obj/tests/decode/oracle.o
