$(B)/tests/decode/test-decode: $(B)/obj/tests/decode/oracle.o
