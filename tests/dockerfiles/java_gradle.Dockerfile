FROM gradle:8-jdk21 AS build
USER gradle
COPY --chown=gradle:gradle . /home/gradle/src
WORKDIR /home/gradle/src
RUN gradle build --no-daemon
FROM tomcat:10
COPY --from=build /home/gradle/src/build/libs/*.war /usr/local/tomcat/webapps/
EXPOSE 8080 8443/tcp
