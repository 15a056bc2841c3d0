From alpine
Run echo
eNv A=b
CMD ["sh"]
